-- The ids of exported_message (or of a single user's messages). Of a recipient all of whose messages travel an index has
-- them; the rows themselves, a hundred times as large and strewn over the table, are read only where the sender decides.

-- @select mode user
SELECT o.id
FROM own_message o

-- @select release >= 8
SELECT m.id
FROM zerver_message m
JOIN whole_recipient w ON w.id = m.recipient_id
WHERE m.realm_id = :realm_id
UNION ALL
SELECT m.id
FROM addressee a
LEFT JOIN whole_recipient w ON w.id = a.id
JOIN exported_message m ON m.recipient_id = a.id
WHERE w.id IS NULL

-- @select
SELECT m.id
FROM exported_message m
