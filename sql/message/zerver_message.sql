-- Messages. A single user's carry readable extras: the names of the flags, the client and the recipient.
-- Since Zulip 8 rows have the realm; a message of another realm stays, also where the user reacted to it (Zulip's own would take it).
-- @file messages

-- @select mode user, migration zerver >= 0452
SELECT m.*,
       to_jsonb(array_remove(ARRAY[
         CASE WHEN mod(um.flags, 2) = 1 THEN 'read' END,
         CASE WHEN mod(um.flags / 2, 2) = 1 THEN 'starred' END,
         CASE WHEN mod(um.flags / 4, 2) = 1 THEN 'collapsed' END,
         CASE WHEN mod(um.flags / 8, 2) = 1 THEN 'mentioned' END,
         CASE WHEN mod(um.flags / 16, 2) = 1 THEN 'stream_wildcard_mentioned' END,
         CASE WHEN mod(um.flags / 32, 2) = 1 THEN 'topic_wildcard_mentioned' END,
         CASE WHEN mod(um.flags / 64, 2) = 1 THEN 'group_mentioned' END,
         CASE WHEN mod(um.flags / 128, 2) = 1 THEN 'force_expand' END,
         CASE WHEN mod(um.flags / 256, 2) = 1 THEN 'force_collapse' END,
         CASE WHEN mod(um.flags / 512, 2) = 1 THEN 'has_alert_word' END,
         CASE WHEN mod(um.flags / 1024, 2) = 1 THEN 'historical' END
       ], NULL)) AS flags,
       um.flags AS flags_mask,
       c.name AS sending_client_name,
       COALESCE(t.name, (SELECT string_agg(ou.full_name, ', ' ORDER BY ou.full_name COLLATE "C")
                         FROM zerver_subscription o JOIN zerver_userprofile ou ON ou.id = o.user_profile_id
                         WHERE o.recipient_id = m.recipient_id), '') AS recipient_name
FROM zerver_usermessage um
JOIN zerver_message m ON m.id = um.message_id
JOIN zerver_client c ON c.id = m.sending_client_id
JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
WHERE um.user_profile_id = :user_id
  AND m.realm_id = :realm_id
  AND (m.sender_id = :user_id
       OR (r.type <> 2 AND EXISTS (SELECT 1 FROM zerver_subscription s WHERE s.recipient_id = m.recipient_id AND s.user_profile_id = :user_id))
       OR EXISTS (SELECT 1 FROM zerver_reaction x WHERE x.message_id = m.id AND x.user_profile_id = :user_id))

-- @select mode user
SELECT m.*,
       to_jsonb(array_remove(ARRAY[
         CASE WHEN mod(um.flags, 2) = 1 THEN 'read' END,
         CASE WHEN mod(um.flags / 2, 2) = 1 THEN 'starred' END,
         CASE WHEN mod(um.flags / 4, 2) = 1 THEN 'collapsed' END,
         CASE WHEN mod(um.flags / 8, 2) = 1 THEN 'mentioned' END,
         CASE WHEN mod(um.flags / 16, 2) = 1 THEN 'stream_wildcard_mentioned' END,
         CASE WHEN mod(um.flags / 32, 2) = 1 THEN 'topic_wildcard_mentioned' END,
         CASE WHEN mod(um.flags / 64, 2) = 1 THEN 'group_mentioned' END,
         CASE WHEN mod(um.flags / 128, 2) = 1 THEN 'force_expand' END,
         CASE WHEN mod(um.flags / 256, 2) = 1 THEN 'force_collapse' END,
         CASE WHEN mod(um.flags / 512, 2) = 1 THEN 'has_alert_word' END,
         CASE WHEN mod(um.flags / 1024, 2) = 1 THEN 'historical' END
       ], NULL)) AS flags,
       um.flags AS flags_mask,
       c.name AS sending_client_name,
       COALESCE(t.name, (SELECT string_agg(ou.full_name, ', ' ORDER BY ou.full_name COLLATE "C")
                         FROM zerver_subscription o JOIN zerver_userprofile ou ON ou.id = o.user_profile_id
                         WHERE o.recipient_id = m.recipient_id), '') AS recipient_name
FROM zerver_usermessage um
JOIN zerver_message m ON m.id = um.message_id
JOIN zerver_client c ON c.id = m.sending_client_id
JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
WHERE um.user_profile_id = :user_id
  AND (m.sender_id = :user_id
       OR (r.type <> 2 AND EXISTS (SELECT 1 FROM zerver_subscription s WHERE s.recipient_id = m.recipient_id AND s.user_profile_id = :user_id))
       OR EXISTS (SELECT 1 FROM zerver_reaction x WHERE x.message_id = m.id AND x.user_profile_id = :user_id))

-- @select
SELECT m.*
FROM exported_message m
