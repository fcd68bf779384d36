-- The ids of exported_message (or of a single user's messages). Of a recipient all of whose messages travel an index has
-- them; the rows themselves, a hundred times as large and strewn over the table, are read only where the sender decides.

-- @select mode user
SELECT o.id
FROM own_message o

-- @select migration zerver >= 0452
SELECT m.id
FROM zerver_message m
JOIN whole_recipient w ON w.id = m.recipient_id
WHERE m.realm_id = :realm_id
UNION ALL
SELECT m.id
FROM addressee a
LEFT JOIN whole_recipient w ON w.id = a.id
JOIN zerver_message m ON m.recipient_id = a.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE m.realm_id = :realm_id AND w.id IS NULL
  AND (a.is_open OR (a.is_contact AND s.agrees)
       OR (a.is_protected AND COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
                                        WHERE um.message_id = m.id AND u.agrees LIMIT 1), false)))

-- @select
SELECT m.id
FROM exported_message m
