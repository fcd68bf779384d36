-- What a single user sent, received directly, or reacted to, with the user's flags.
-- Since Zulip 8 rows have the realm; a message of another realm stays, also where the user reacted to it (Zulip's own would take it).

-- @select mode user, release >= 8
SELECT um.message_id AS id, um.flags
FROM zerver_usermessage um
JOIN zerver_message m ON m.id = um.message_id
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
WHERE um.user_profile_id = :user_id
  AND m.realm_id = :realm_id
  AND (m.sender_id = :user_id
       OR (r.type <> 2 AND EXISTS (SELECT 1 FROM zerver_subscription s WHERE s.recipient_id = m.recipient_id AND s.user_profile_id = :user_id))
       OR EXISTS (SELECT 1 FROM zerver_reaction x WHERE x.message_id = m.id AND x.user_profile_id = :user_id))

-- @select mode user, release >= 5
SELECT um.message_id AS id, um.flags
FROM zerver_usermessage um
JOIN zerver_message m ON m.id = um.message_id
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
WHERE um.user_profile_id = :user_id
  AND (m.sender_id = :user_id
       OR (r.type <> 2 AND EXISTS (SELECT 1 FROM zerver_subscription s WHERE s.recipient_id = m.recipient_id AND s.user_profile_id = :user_id))
       OR EXISTS (SELECT 1 FROM zerver_reaction x WHERE x.message_id = m.id AND x.user_profile_id = :user_id))

-- Until Zulip 4 whatever the user received.
-- @select mode user
SELECT um.message_id AS id, um.flags
FROM zerver_usermessage um
WHERE um.user_profile_id = :user_id
