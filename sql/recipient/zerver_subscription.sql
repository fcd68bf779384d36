-- Who receives what: of the users to personal recipients and groups, of everybody in the export to channels, of group_bot to groups.
-- Who does not agree keeps only the fact of the subscription; the colour is drawn from Zulip's palette.
-- @file realm.json

-- @select mode user
SELECT s.*
FROM zerver_subscription s
WHERE s.user_profile_id = :user_id

-- @select mode consent, release >= 10
-- @select mode public, release >= 10
-- @select mode consent, approved users
-- @columns id, user_profile_id, recipient_id, active, is_user_active, role
SELECT s.*,
       p.agrees AND s.is_muted AS is_muted,
       p.agrees AND s.pin_to_top AS pin_to_top,
       CASE WHEN p.agrees THEN s.desktop_notifications END AS desktop_notifications,
       CASE WHEN p.agrees THEN s.audible_notifications END AS audible_notifications,
       CASE WHEN p.agrees THEN s.push_notifications END AS push_notifications,
       CASE WHEN p.agrees THEN s.email_notifications END AS email_notifications,
       CASE WHEN p.agrees THEN s.wildcard_mentions_notify END AS wildcard_mentions_notify,
       CASE WHEN p.agrees THEN s.color
            ELSE split_part('#76ce90 #fae589 #a6c7e5 #e79ab5 #bfd56f #f4ae55 #b0a5fd #addfe5 #f5ce6e #c2726a #94c849 #bd86e5 #ee7e4a #a6dcbf #95a5fd #53a063 #9987e1 #e4523d #c2c2c2 #4f8de4 #c6a8ad #e7cc4d #c8bebf #a47462',
                            ' ', 1 + get_byte(sha256(convert_to(:seed || ' color ' || s.id::text, 'UTF8')), 0) % 24) END AS color
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN possible_sender p ON p.id = s.user_profile_id
WHERE r.type = 2 OR p.id <> ALL (:cross_realm_bot_ids) OR (r.type = 3 AND p.id IN (SELECT b.id FROM group_bot b))

-- @select release >= 7
SELECT s.*
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN possible_sender p ON p.id = s.user_profile_id
WHERE r.type = 2 OR p.id <> ALL (:cross_realm_bot_ids) OR (r.type = 3 AND p.id IN (SELECT b.id FROM group_bot b))

-- Zulip 2.1: mirror dummies' only to themselves.
-- @select release < 3
SELECT s.*
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN exported_user u ON u.id = s.user_profile_id
WHERE r.type = 1 OR NOT u.is_mirror_dummy

-- Until Zulip 6: not those of mirror dummies to groups.
-- @select release < 7
SELECT s.*
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN possible_sender p ON p.id = s.user_profile_id
LEFT JOIN exported_user u ON u.id = s.user_profile_id
WHERE r.type = 2 OR (u.id IS NOT NULL AND (r.type = 1 OR NOT u.is_mirror_dummy))
