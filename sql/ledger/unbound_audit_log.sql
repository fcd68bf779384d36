-- Audit-log rows that are not about an account: Zulip exports them since 5.
-- @class public_realm
-- @reason not about an account, as until Zulip 4

-- @select mode full, release < 5
-- @select mode consent, release < 5
-- @select mode public, release < 5
SELECT a.id
FROM zerver_realmauditlog a
LEFT JOIN profile_user u ON u.id = a.modified_user_id
WHERE a.realm_id = :realm_id AND u.id IS NULL
