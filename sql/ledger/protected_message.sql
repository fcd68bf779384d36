-- Messages of channels whose history is closed to new subscribers, of before anybody who agreed joined.
-- @class message
-- @reason protected history: nobody who agreed received it

-- @select mode consent, release >= 8
SELECT m.id
FROM zerver_message m
JOIN addressee a ON a.id = m.recipient_id
JOIN possible_sender s ON s.id = m.sender_id
WHERE m.realm_id = :realm_id AND a.is_protected AND NOT a.is_open
  AND NOT COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
                    WHERE um.message_id = m.id AND u.agrees LIMIT 1), false)

-- @select mode consent, release >= 6
SELECT m.id
FROM addressee a
JOIN zerver_message m ON m.recipient_id = a.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE a.is_protected AND NOT a.is_open
  AND NOT COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
                    WHERE um.message_id = m.id AND u.agrees LIMIT 1), false)
