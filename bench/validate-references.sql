-- Foreign keys that the growing left NOT VALID are checked, as they are on a server that has always had them: without that an export looks for rows that point to nothing.
DO $$
DECLARE reference record;
BEGIN
  FOR reference IN SELECT conrelid::regclass AS relation, conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated LOOP
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', reference.relation, reference.conname);
  END LOOP;
END $$;
