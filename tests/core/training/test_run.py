import time
def test_try(ask, workshop):
    from adapter_platform.core.training.run import train
    from adapter_platform.core.training.prepare import Quiet
    t=time.time()
    out = train(ask(), workshop, Quiet())
    print(time.time()-t); 
    t=time.time()
    out = train(ask(epochs=3,seed=3), workshop, Quiet())
    print(time.time()-t); print(out.manifest); print(out.promoted, out.resumed)
    import json; print(json.dumps(out.report, indent=1)[:3000])
