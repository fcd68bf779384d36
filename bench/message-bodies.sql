-- Texts for messages, by number.
CREATE TEMP TABLE body AS
  SELECT number, content, '<p>' || replace(replace(content, '"', '&quot;'), E'\n', E'<br>\n') || '</p>' || E'\n' || format('<p><a href="https://chat.example/#narrow/near/%s">link</a></p>', number) AS rendered,
         to_tsvector('simple', content) AS words
  FROM (
    SELECT number, string_agg(word || CASE WHEN k % 11 = 10 THEN E'\n' WHEN k % 7 = 6 THEN ', ' ELSE ' ' END, '' ORDER BY k) AS content
    FROM generate_series(0, 996) number, generate_series(0, 47) k, LATERAL (SELECT (ARRAY[
      'deploy', 'the', '"runbook"', 'first', 'then', 'naïve', 'café', 'Übersicht', '„Plan“', '日本語', '🎉', 'C:\temp', 'check', 'queue', 'and', 'logs', 'of', 'yesterday', 'with', '@**Ada**',
      'release', 'notes', 'are', 'in', '#**general**', 'please', 'review', 'before', 'noon', 'it''s', '50%', 'faster', '`SELECT 1`', 'или', 'завтра', 'again', 'merge', 'branch', 'tests', 'pass', 'ship'
    ])[1 + (number * 31 + k * k * 17 + k * 7) % 41] AS word) AS chosen
    GROUP BY number) AS written;
CREATE UNIQUE INDEX ON body (number);
