-- What mirror dummies subscribe to: Zulip exports it since 7, to channels since 3.
-- @class recipient
-- @reason of a mirror dummy, as until Zulip 6

-- @select mode consent, approved users
SELECT u.id
FROM exported_user u
WHERE false

-- @select release < 3
SELECT s.id
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN exported_user u ON u.id = s.user_profile_id
WHERE u.is_mirror_dummy AND r.type <> 1

-- @select release < 7
SELECT s.id
FROM zerver_subscription s
JOIN exported_recipient r ON r.id = s.recipient_id
JOIN exported_user u ON u.id = s.user_profile_id
WHERE u.is_mirror_dummy AND r.type = 3
