-- User groups; their names are in zerver_namedusergroup since Zulip 9.
-- @file realm.json

-- @select release >= 6
SELECT t.*
FROM zerver_usergroup t
WHERE t.realm_id = :realm_id

-- Zulip 5: with their members, which are rows of tables of their own too.
-- @select release >= 5
SELECT t.*,
       COALESCE((SELECT array_agg(m.user_profile_id ORDER BY m.user_profile_id) FROM zerver_usergroupmembership m WHERE m.user_group_id = t.id), '{}') AS direct_members,
       COALESCE((SELECT array_agg(g.subgroup_id ORDER BY g.subgroup_id) FROM zerver_groupgroupmembership g WHERE g.supergroup_id = t.id), '{}') AS direct_subgroups
FROM zerver_usergroup t
WHERE t.realm_id = :realm_id

-- @select
SELECT t.*,
       COALESCE((SELECT array_agg(m.user_profile_id ORDER BY m.user_profile_id) FROM zerver_usergroupmembership m WHERE m.user_group_id = t.id), '{}') AS members
FROM zerver_usergroup t
WHERE t.realm_id = :realm_id
