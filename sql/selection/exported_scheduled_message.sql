-- Scheduled messages that travel: of everybody, of set C, or none. One whose recipient stays would land on somebody else's
-- row at the import, so it stays too; as does one whose sender or client is not there.

-- @table zerver_scheduledmessage

-- @select mode full
SELECT s.*
FROM zerver_scheduledmessage s
JOIN possible_sender p ON p.id = s.sender_id
JOIN zerver_client c ON c.id = s.sending_client_id
WHERE s.realm_id = :realm_id
  AND s.recipient_id IN (SELECT r.id FROM exported_recipient r UNION ALL SELECT b.recipient_id FROM zerver_userprofile b WHERE b.id = ANY (:cross_realm_bot_ids))

-- @select mode consent
SELECT s.*
FROM zerver_scheduledmessage s
JOIN exported_user u ON u.id = s.sender_id
JOIN zerver_client c ON c.id = s.sending_client_id
WHERE s.realm_id = :realm_id AND u.agrees
  AND s.recipient_id IN (SELECT r.id FROM exported_recipient r UNION ALL SELECT b.recipient_id FROM zerver_userprofile b WHERE b.id = ANY (:cross_realm_bot_ids))

-- @select mode public
SELECT s.*
FROM zerver_scheduledmessage s
WHERE s.realm_id = :realm_id AND false
