-- Exported users as recipients of direct messages, as far as exported users subscribe to them. To one that is not `is_open` only
-- those write who agree (see contact_recipient).

-- @select release >= 10
SELECT r.id, r.type_id, true AS is_open
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
JOIN exported_user w ON w.id = r.type_id
WHERE r.type = 1

-- Before, the personal recipients of mirror dummies stayed, and with them (under consent: most users) dangled what was sent to
-- them directly: the import would file it under whatever has the recipient's number. Those that a message needs travel.
-- @select mode public
SELECT r.id, r.type_id, true AS is_open
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
JOIN exported_user w ON w.id = r.type_id
WHERE r.type = 1 AND sr.by_account

-- @select
SELECT r.id, r.type_id, sr.by_account AS is_open
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
JOIN exported_user w ON w.id = r.type_id
WHERE r.type = 1
  AND (sr.by_account OR EXISTS (SELECT 1 FROM zerver_message m JOIN exported_user u ON u.id = m.sender_id WHERE m.recipient_id = r.id AND u.agrees))
