"""The pages: functions from (proxy, query) to an answer, a module for each subject."""
