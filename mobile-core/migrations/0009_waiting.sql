-- What goes with a push and what has no time yet, in the order of sending. Finding them took a look at every edit that was
-- answered and not yet pulled, for each push of a long queue.
CREATE INDEX campo_outbox_waiting ON campo_outbox (ord, seq)
WHERE settled = 0 AND withdraw = 0 AND state IN ('waiting', 'sending');
CREATE INDEX campo_outbox_undated ON campo_outbox (ord, seq) WHERE settled = 0 AND edited_us IS NULL;
CREATE INDEX campo_outbox_withdrawn ON campo_outbox (ord, seq) WHERE settled = 0 AND withdraw = 1;
