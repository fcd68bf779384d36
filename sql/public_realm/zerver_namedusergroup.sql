-- Named user groups: a child table of zerver_usergroup, whose key is its id. Without that row it is no group.
-- @file realm.json
-- @key realm_id realm_for_sharding

SELECT g.*, g.usergroup_ptr_id AS id
FROM zerver_namedusergroup g
JOIN zerver_usergroup b ON b.id = g.usergroup_ptr_id
WHERE g.realm_id = :realm_id AND b.realm_id = :realm_id
