-- Before a shape of the bench is filled: indexes and unique constraints of the large tables go, and make-indexes.sql makes them again in the same session.
SET search_path = zulip;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '512MB';

CREATE TEMP TABLE made_again AS
  SELECT format('DROP INDEX %s', i.indexrelid::regclass) AS down, pg_get_indexdef(i.indexrelid) AS up
  FROM pg_index i
  WHERE i.indrelid IN ('zerver_message'::regclass, 'zerver_usermessage'::regclass, 'zerver_reaction'::regclass)
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
  UNION ALL
  SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
         format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) || CASE c.contype WHEN 'f' THEN ' NOT VALID' ELSE '' END
  FROM pg_constraint c
  WHERE c.conrelid IN ('zerver_usermessage'::regclass, 'zerver_reaction'::regclass, 'zerver_message'::regclass)
    AND (c.contype = 'f' OR (c.contype IN ('u', 'p') AND c.conrelid <> 'zerver_message'::regclass));
DO $$ DECLARE statement text; BEGIN FOR statement IN SELECT down FROM made_again LOOP EXECUTE statement; END LOOP; END $$;
