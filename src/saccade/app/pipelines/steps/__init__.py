"""Operations of pipelines that work on the workspace: data in and out, training, evaluation, prediction."""
