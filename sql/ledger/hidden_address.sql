-- Users who hide their address.
-- @class disjoint_user
-- @reason hides the address: shown as a mirror dummy

-- @select mode public, release >= 10
SELECT u.id
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.email_address_visibility = 4 AND u.id <> ALL (:system_bot_ids)
