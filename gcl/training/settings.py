"""How long, how fast and by what a model is trained and chosen: the ``train`` section of the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class TrainSettings(BaseModel):
    """Settings of the training loop; unknown keys are errors.

    A gain is an evaluation on valid whose ``metric`` exceeds all before it. Where the split has no valid part, all
    ``epochs`` are trained and the last one is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(100, ge=1, description="at most so many epochs")
    batch_size: int = Field(2048, ge=1, description="rows of a step")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty in Adam, on all parameters")
    patience: int | None = Field(10, ge=1, description="stop after so many evaluations without gain; null: never")
    eval_every: int = Field(1, ge=1, description="epochs from one evaluation to the next")
    metric: str = Field("ndcg@20", description="the metric on valid that chooses the epoch")
    refit: bool = Field(False, description="train again from scratch on train and valid for the chosen epochs")
    checkpoint_seconds: float = Field(30.0, ge=0, description="at most so much work is lost; 0 saves after every step")
