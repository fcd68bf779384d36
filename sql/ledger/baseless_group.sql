-- Names of user groups whose group is gone, or another realm's.
-- @class public_realm
-- @reason the group that is so named is gone, or of another realm

-- @select table zerver_namedusergroup
SELECT g.usergroup_ptr_id AS id
FROM zerver_namedusergroup g
LEFT JOIN zerver_usergroup b ON b.id = g.usergroup_ptr_id
WHERE g.realm_id = :realm_id AND (b.id IS NULL OR b.realm_id <> :realm_id)
