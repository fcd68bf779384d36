-- The realm's messages where rows do not say which realm they are of: what its users sent, and what anybody sent to them or to its channels and groups.

-- @select release < 8
SELECT m.id
FROM zerver_message m
JOIN exported_user u ON u.id = m.sender_id
UNION
SELECT m.id
FROM zerver_message m
JOIN exported_recipient r ON r.id = m.recipient_id
UNION
SELECT m.id
FROM zerver_message m
JOIN exported_user u ON u.recipient_id = m.recipient_id
