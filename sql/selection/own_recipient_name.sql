-- Where a single user's messages went, in words: the channel, or the people of the conversation.

-- Since Zulip 12 a conversation of two is named after the one who did not send the message, others after all, in the order of their ids.
-- @select mode user, release >= 12
SELECT o.id,
       COALESCE(t.name, (SELECT CASE WHEN count(ou.id) = 2
                                     THEN (array_remove(array_agg(CASE WHEN ou.id <> m.sender_id THEN ou.full_name END ORDER BY ou.id), NULL))[1]
                                     ELSE string_agg(ou.full_name, ', ' ORDER BY ou.id) END
                         FROM zerver_subscription s JOIN zerver_userprofile ou ON ou.id = s.user_profile_id
                         WHERE s.recipient_id = m.recipient_id), '') AS recipient_name
FROM own_message o
JOIN zerver_message m ON m.id = o.id
JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2

-- @select mode user
SELECT o.id,
       COALESCE(t.name, (SELECT string_agg(ou.full_name, ', ' ORDER BY ou.full_name COLLATE "C")
                         FROM zerver_subscription s JOIN zerver_userprofile ou ON ou.id = s.user_profile_id
                         WHERE s.recipient_id = m.recipient_id), '') AS recipient_name
FROM own_message o
JOIN zerver_message m ON m.id = o.id
JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
