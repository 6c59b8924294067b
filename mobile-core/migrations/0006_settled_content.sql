-- Settled edits whose content is still here, oldest first. What a person decided on keeps it (a decision can
-- be taken back), and so does what tells which record an insertion became.

CREATE INDEX campo_outbox_content ON campo_outbox (seq)
WHERE settled = 1 AND seen_told = 1 AND receipt IS NOT NULL
  AND state IN ('applied', 'superseded', 'handed_over', 'discarded')
  AND instr(receipt, '"conflict"') = 0 AND instr(receipt, '"alias"') = 0;
