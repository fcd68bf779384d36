-- Users shown without their settings, or as mirror dummies.
-- @class disjoint_user
-- @reason did not agree: shown with default settings where the server has any, and as a mirror dummy if active

-- @select mode consent, release >= 10
-- @select mode consent, approved users
SELECT u.id
FROM exported_user u
WHERE NOT u.agrees
