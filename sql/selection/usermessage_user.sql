-- Whose usermessages travel: accounts, not mirror dummies; under consent only those of set C.

-- @select mode consent
SELECT u.id
FROM exported_user u
WHERE u.agrees AND NOT u.is_mirror_dummy

-- @select
SELECT u.id
FROM exported_user u
WHERE NOT u.is_mirror_dummy
