-- Groups in which nobody agreed.
-- @class recipient
-- @reason nobody in the group agreed

-- @select mode consent, release >= 10
-- @select mode consent, approved users, release >= 7
-- @select mode public, release >= 10
SELECT r.id
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND NOT sr.agreed
