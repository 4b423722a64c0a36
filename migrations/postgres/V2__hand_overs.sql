-- How many claims of a job ended because their worker was stopped, not because they failed. They are
-- no attempts at the reply: those are the generation less this.
ALTER TABLE bot_jobs ADD COLUMN hand_overs bigint NOT NULL DEFAULT 0;
