-- What the person may do, apart from the tokens: edits go on when those have gone.

INSERT OR IGNORE INTO campo_meta (name, value)
SELECT 'permissions', json_extract(value, '$.permissions') FROM campo_meta
WHERE name = 'session' AND json_type(value, '$.permissions') = 'array';
