import time, traceback, pytest, json
from pathlib import Path
def test_try(ask, workshop, write_texts, tiny_base_without_pooler, tmp_path):
    from adapter_platform.core.training.run import train, plan
    from adapter_platform.core.training.prepare import Quiet
    from adapter_platform.core.errors import PlatformError
    def go(title, **k):
        t=time.time()
        try:
            out = train(ask(**k), workshop, Quiet())
            print("##", title, f"{time.time()-t:.2f}s worse", out.manifest.worse_than_probe, out.promoted, {k:v for k,v in out.manifest.metrics.items() if k.startswith('val') and 'weighted' not in k})
        except PlatformError as e:
            print("##", title, f"{time.time()-t:.2f}s", type(e).__name__, e.message, "|", e.hint)
        except Exception as e:
            print("##", title, "CRASH", type(e).__name__, str(e)[:300])
    bad = write_texts({"refund":12,"delivery":12,"login":12}, name="v", seed=9)
    go("mean", pooling="mean")
    for lr in (1, 50, 1e4, 1e10):
        go(f"lr{lr}", pooling="mean", learning_rate=lr, epochs=2, data={"train": write_texts({"refund":16,"delivery":16,"login":16}), "val": bad, "test":write_texts({"refund":6,"delivery":6,"login":6}, name="t", seed=5)})
    go("nopool pooler", pooling="pooler", base=tiny_base_without_pooler)
    go("nopool", base=tiny_base_without_pooler)
    go("cls", pooling="cls")
    for m in "DORA IA3 LOHA VERA OFT LOKR BOFT ADALORA HRA FOURIERFT LN_TUNING PREFIX_TUNING PROMPT_TUNING P_TUNING VBLORA SHIRA C3A ROAD MISS RANDLORA TRAINABLE_TOKENS XLORA POLY WAVEFT PSOFT".split():
        go(m, peft_method=m, pooling="mean")
    go("report_to", report_to=["foo"])
    go("report_to tb", report_to=["tensorboard"])
    go("inf", learning_rate=float("inf"))
    go("ep0", epochs=0)
    go("ep-1", epochs=-1)
    go("epochs big", max_length=5)
    go("bad name", request={"name": "a/../b"})
    go("multi", data=write_texts({"refund":12,"delivery|refund":12,"login|refund":12}, name="m"))
    go("multi one label", data=write_texts({"refund|delivery":12,"delivery":12}, name="m2"), )
    go("multi balanced", data=write_texts({"refund":12,"delivery|refund":12,"login":12}, name="m3"), class_weights="balanced")
    go("multi contrastive", data=write_texts({"refund":12,"delivery|refund":12,"login":12}, name="m3"), loss="contrastive")
    go("hier", data=write_texts({"shop/refund":12,"shop/delivery":12,"account/login":12}, name="m4"))
    for bad in ({"r":0},{"r":-1},{"r":"x"},{"lora_dropout":2},{"lora_alpha":"a"},{"target_modules":["nothing"]},{"bias":"foo"},{"init_lora_weights":"foo"},{"init_lora_weights":"pissa_niter_4"},{"init_lora_weights":"loftq"},{"init_lora_weights":"lora_ga"},{"bias":"all"},{"use_dora":True},{"layers_to_transform":[9]},{"task_type":"SEQ_CLS"},{"base_model_name_or_path":"x"},{"inference_mode":True},{"target_parameters":["x"]},{"megatron_config":{"a":1}},{"trainable_token_indices":[1,2]},{"exclude_modules":["layer.0"]},{"target_modules":"all-linear"},{"target_modules":".*query"},{"init_lora_weights":"orthogonal"},{"init_lora_weights":"eva"},{"peft_type":"IA3"},{"layer_replication":[[0,2]]},{"runtime_config":{}},{"target_modules":["embeddings.word_embeddings"]}):
        go(str(bad), peft=bad, pooling="mean")
