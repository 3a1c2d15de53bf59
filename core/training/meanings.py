"""What the settings of a recipe are, a phrase each, for whoever gave one a value that cannot be."""

from __future__ import annotations

from collections.abc import Mapping

RECIPE: Mapping[str, str] = {
    "base": "the base model, by a name, a Hub id or a directory",
    "peft_method": "PEFT's name of the method",
    "peft": "a table of settings",
    "layers": "how many of the base's layers are adapted, counted from the last",
    "pooling": "how a text's tokens become one vector",
    "loss": "what training makes small",
    "contrastive_weight": "the contrastive term's share of the loss",
    "contrastive_temperature": "the contrastive term's temperature",
    "learning_rate": "the highest learning rate",
    "epochs": "how often training goes over its texts",
    "batch_size": "how many texts a step takes",
    "warmup": "the share of steps during which the learning rate rises",
    "weight_decay": "AdamW's weight decay",
    "base_dropout": "the dropout inside the base while training",
    "class_weights": "whether rare classes count for more",
    "label_smoothing": "the share of a text's target that is spread evenly",
    "label_texts": "whether labels' names count as training texts",
    "typos": "the share of training texts that count once more with a typing error",
    "head": "how the last layer is made",
    "token_bag": "whether the tokens of a text count by themselves too",
    "max_length": "how many tokens of a text are read at once",
    "long_text": "what becomes of a text that is longer than max_length",
    "stride": "how many tokens a window shares with the one before",
    "val_share": "the share of the data that is kept for validation",
    "test_share": "the share of the data that is kept for the test",
    "abstain": "a table of settings of the step 'abstain'",
    "seed": "the start of all that is drawn by chance",
    "report_to": "a list of experiment trackers",
}
PEFT: Mapping[str, str] = {
    "r": "the rank of what is added to each layer",
    "init_r": "the rank that training begins with",
    "target_r": "the rank that training ends with on average",
    "lora_alpha": "how strongly the adapter acts, over its rank",
    "alpha": "how strongly the adapter acts, over its rank",
    "target_modules": "which of the base's modules get an adapter",
    "exclude_modules": "which of the base's modules get none",
    "feedforward_modules": "which of the adapted modules are feed-forward ones",
    "layers_to_transform": "which of the base's layers get an adapter, counted from 0",
    "rank_pattern": "other ranks for some modules",
    "alpha_pattern": "another alpha for some modules",
    "bias": "which of the base's biases are trained along",
    "use_rslora": "whether alpha counts over the root of the rank",
    "use_dora": "whether LoRA is DoRA",
    "num_virtual_tokens": "how many tokens are put before a text",
    "token_indices": "which tokens of the base's vocabulary are trained",
}


def of_peft(name: str, method: str) -> str:
    """What a PEFT method's setting is."""
    if name.endswith("dropout"):
        return "a share that is dropped at random while training"
    return PEFT.get(name, f"a setting of {method}")
