-- Recipients all of whose messages travel: whoever wrote there is a possible sender. Asked of the pairs of recipient and
-- sender, which an index has.

-- @select release >= 8
SELECT a.id
FROM addressee a
LEFT JOIN (
  SELECT m.recipient_id AS id
  FROM zerver_message m
  LEFT JOIN possible_sender s ON s.id = m.sender_id
  WHERE m.realm_id = :realm_id AND s.id IS NULL
  GROUP BY m.recipient_id
) AS mixed ON mixed.id = a.id
WHERE a.is_open AND mixed.id IS NULL

-- @select
SELECT a.id
FROM addressee a
WHERE false
