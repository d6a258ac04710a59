-- Webhooks name a provider account by its id alone.
CREATE UNIQUE INDEX provider_accounts_by_id ON provider_accounts (id);
