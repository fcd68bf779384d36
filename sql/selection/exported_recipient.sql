-- The union of three parts: personal recipients that the users subscribe to, the realm's channels, and safe groups.

-- @select migration zerver >= 0600
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 1
UNION ALL
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN zerver_stream t ON t.id = r.type_id
WHERE r.type = 2 AND t.realm_id = :realm_id
UNION ALL
SELECT g.id, 3 AS type, g.type_id
FROM group_recipient g
WHERE g.safe

-- Before, the personal recipients of mirror dummies stayed, and with them (under consent: most users) dangled what was sent to
-- them directly: the import would file it under whatever has the recipient's number. Those that a message needs travel.
-- @select mode public
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 1 AND sr.by_account
UNION ALL
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN zerver_stream t ON t.id = r.type_id
WHERE r.type = 2 AND t.realm_id = :realm_id
UNION ALL
SELECT g.id, 3 AS type, g.type_id
FROM group_recipient g
WHERE g.safe

-- @select
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 1
  AND (sr.by_account OR EXISTS (SELECT 1 FROM zerver_message m JOIN exported_user u ON u.id = m.sender_id WHERE m.recipient_id = r.id AND u.agrees))
UNION ALL
SELECT r.id, r.type, r.type_id
FROM zerver_recipient r
JOIN zerver_stream t ON t.id = r.type_id
WHERE r.type = 2 AND t.realm_id = :realm_id
UNION ALL
SELECT g.id, 3 AS type, g.type_id
FROM group_recipient g
WHERE g.safe
