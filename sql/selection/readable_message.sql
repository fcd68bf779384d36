-- A single user's messages as people read them: the flags by name, the client.

-- @select mode user
SELECT m.id,
       to_jsonb(array_remove(ARRAY[
         CASE WHEN mod(o.flags, 2) = 1 THEN 'read' END,
         CASE WHEN mod(o.flags / 2, 2) = 1 THEN 'starred' END,
         CASE WHEN mod(o.flags / 4, 2) = 1 THEN 'collapsed' END,
         CASE WHEN mod(o.flags / 8, 2) = 1 THEN 'mentioned' END,
         CASE WHEN mod(o.flags / 16, 2) = 1 THEN f.bit_4 END,
         CASE WHEN mod(o.flags / 32, 2) = 1 THEN f.bit_5 END,
         CASE WHEN mod(o.flags / 64, 2) = 1 THEN f.bit_6 END,
         CASE WHEN mod(o.flags / 128, 2) = 1 THEN 'force_expand' END,
         CASE WHEN mod(o.flags / 256, 2) = 1 THEN 'force_collapse' END,
         CASE WHEN mod(o.flags / 512, 2) = 1 THEN 'has_alert_word' END,
         CASE WHEN mod(o.flags / 1024, 2) = 1 THEN 'historical' END
       ], NULL)) AS flags,
       o.flags AS flags_mask,
       COALESCE(c.name, '') AS sending_client_name
FROM own_message o
JOIN renamed_flag f ON f.id = :user_id
JOIN zerver_message m ON m.id = o.id
LEFT JOIN zerver_client c ON c.id = m.sending_client_id
