-- Names of three bits of a single user's flags. Zulip 8 renamed the first and gave the unused others a meaning.

-- @select mode user, release >= 8
SELECT u.id, 'stream_wildcard_mentioned' AS bit_4, 'topic_wildcard_mentioned' AS bit_5, 'group_mentioned' AS bit_6
FROM zerver_userprofile u
WHERE u.id = :user_id

-- @select mode user
SELECT u.id, 'wildcard_mentioned' AS bit_4, 'summarize_in_home' AS bit_5, 'summarize_in_stream' AS bit_6
FROM zerver_userprofile u
WHERE u.id = :user_id
