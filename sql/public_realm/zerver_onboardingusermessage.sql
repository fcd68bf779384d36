-- Messages that new users find marked unread or starred.
-- @file realm.json
-- @key flags flags_mask

SELECT t.*
FROM zerver_onboardingusermessage t
WHERE t.realm_id = :realm_id
