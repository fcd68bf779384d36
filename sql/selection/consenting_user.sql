-- Set C of the consent rules, found once by the plan and given to every query.

-- @select mode consent
SELECT u.id
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.id IN (SELECT unnest(:consenting_user_ids))
