-- Recipients that an exported user subscribes to, and whether somebody who agrees does.

SELECT s.recipient_id AS id, bool_or(u.agrees) AS agreed, bool_or(NOT u.is_mirror_dummy) AS by_account
FROM zerver_subscription s
JOIN exported_user u ON u.id = s.user_profile_id
GROUP BY s.recipient_id
