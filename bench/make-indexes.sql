-- What drop-indexes.sql took away, in the same session: keys first, then indexes, then foreign keys.
DO $$ DECLARE statement text; BEGIN FOR statement IN SELECT up FROM made_again ORDER BY up NOT LIKE '%PRIMARY KEY%', up LIKE '%FOREIGN KEY%' LOOP EXECUTE statement; END LOOP; END $$;
