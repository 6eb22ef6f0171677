//! What became of a SuiteTalk job: asked of the job, then of each of its tasks.

use super::Http;
use crate::event::Id;
use crate::lane::{Answer, Reply, Task, classify_poll, classify_tasks, is_done, tasks_of, unanswered};

impl Http {
    /// What became of the batch. Past the job's end one question for each task, and one more for each record that was made, one
    /// after the other: requests at once are what the target's account has few of.
    pub(super) async fn follow(&self, job: &str, keys: &[Id]) -> Answer {
        let reply = self.poll(job, keys.len()).await.unwrap_or_else(|failure| failure);
        if !is_done(&reply) {
            return classify_poll(&reply, &self.config.answers, keys);
        }
        match self.tasks(job, keys.len()).await {
            Ok(tasks) => classify_tasks(&tasks, &self.config.answers, keys),
            Err(reply) => unanswered(&reply, keys),
        }
    }

    /// The results of a job's tasks; or what came instead of one.
    async fn tasks(&self, job: &str, records: usize) -> Result<Vec<Task>, Reply> {
        let list = self.poll(&format!("{}/task/", job.trim_end_matches('/')), records).await?;
        let mut tasks = Vec::new();
        for at in tasks_of(&list).ok_or(list)? {
            let result = self.poll(&format!("{at}/result"), 1).await?;
            let mut task = Task::of(&result).ok_or(result)?;
            if let (None, Some(record)) = (task.key, &task.record) {
                let record = self.poll(&format!("{record}?fields=externalId"), 1).await?;
                if !task.name(&record) {
                    return Err(record);
                }
            }
            tasks.push(task);
        }
        Ok(tasks)
    }
}
