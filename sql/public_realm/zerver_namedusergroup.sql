-- Named user groups: a child table of zerver_usergroup, whose key is its id.
-- @file realm.json
-- @key realm_id realm_for_sharding

SELECT g.*, g.usergroup_ptr_id AS id
FROM zerver_namedusergroup g
WHERE g.realm_id = :realm_id
