from grads.commands import doctor


def test_doctor_reports_the_machine_and_passes(grads):
    printed = grads("doctor").stdout
    for word in ("python", "disk", "device", "torch", "ok         batch invariance of the probe", "ok         network"):
        assert word in printed


def test_a_check_that_fails_is_status_1(grads, monkeypatch):
    monkeypatch.setitem(doctor.CHECKS, "network", lambda: (False, "reached"))
    assert "FAILED     network: reached" in grads("doctor", status=1).stdout


def test_a_probe_that_depends_on_its_batch_is_noticed(monkeypatch):
    from grads.probe import measure as measuring

    real = measuring.measure

    def wrong(model, examples, measures, budget, padding):
        found = real(model, examples, measures, budget, padding)
        found.columns["head_l2"][3] *= 1 + budget * 1e-6
        return found

    monkeypatch.setattr(measuring, "measure", wrong)
    assert not doctor.batch_invariance()[0]
