-- Outgoing webhooks and embedded bots.
-- @file realm.json
-- @strip token

SELECT t.*
FROM zerver_service t
JOIN private_data_user u ON u.id = t.user_profile_id
