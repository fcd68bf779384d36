-- Messages of the realm that do not travel by any rule, but for what its people sent to groups that are not safe.

-- @select release >= 8
SELECT m.id
FROM zerver_message m
LEFT JOIN addressee a ON a.id = m.recipient_id
LEFT JOIN group_recipient g ON g.id = m.recipient_id
LEFT JOIN possible_sender s ON s.id = m.sender_id
WHERE m.realm_id = :realm_id AND (COALESCE(g.safe, true) OR s.id IS NULL)
  AND NOT COALESCE(s.id IS NOT NULL AND (a.is_open OR a.is_protected OR (a.is_contact AND s.agrees)), false)

-- Until Zulip 7 messages do not say which realm they are of.
-- @select
SELECT m.id
FROM realm_message r
JOIN zerver_message m ON m.id = r.id
LEFT JOIN addressee a ON a.id = m.recipient_id
LEFT JOIN group_recipient g ON g.id = m.recipient_id
LEFT JOIN possible_sender s ON s.id = m.sender_id
WHERE (COALESCE(g.safe, true) OR s.id IS NULL)
  AND NOT COALESCE(s.id IS NOT NULL AND (a.is_open OR a.is_protected OR (a.is_contact AND s.agrees)), false)
