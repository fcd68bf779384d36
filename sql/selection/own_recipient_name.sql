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
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2

-- @select mode user, release >= 5
SELECT o.id,
       COALESCE(t.name, (SELECT string_agg(ou.full_name, ', ' ORDER BY ou.full_name COLLATE "C")
                         FROM zerver_subscription s JOIN zerver_userprofile ou ON ou.id = s.user_profile_id
                         WHERE s.recipient_id = m.recipient_id), '') AS recipient_name
FROM own_message o
JOIN zerver_message m ON m.id = o.id
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2

-- Until Zulip 4 people are objects, of Zulip 2.1 with a short name.
-- @select mode user, no column zerver_userprofile.short_name
SELECT o.id,
       COALESCE(to_jsonb(t.name), (SELECT to_jsonb(array_agg(jsonb_build_object('id', ou.id, 'email', ou.email, 'full_name', ou.full_name, 'is_mirror_dummy', ou.is_mirror_dummy) ORDER BY ou.id))
                                   FROM zerver_subscription s JOIN zerver_userprofile ou ON ou.id = s.user_profile_id
                                   WHERE s.recipient_id = m.recipient_id), '[]') AS display_recipient
FROM own_message o
JOIN zerver_message m ON m.id = o.id
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2

-- @select mode user
SELECT o.id,
       COALESCE(to_jsonb(t.name), (SELECT to_jsonb(array_agg(jsonb_build_object('id', ou.id, 'email', ou.email, 'full_name', ou.full_name, 'short_name', ou.short_name, 'is_mirror_dummy', ou.is_mirror_dummy) ORDER BY ou.id))
                                   FROM zerver_subscription s JOIN zerver_userprofile ou ON ou.id = s.user_profile_id
                                   WHERE s.recipient_id = m.recipient_id), '[]') AS display_recipient
FROM own_message o
JOIN zerver_message m ON m.id = o.id
LEFT JOIN zerver_recipient r ON r.id = m.recipient_id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
