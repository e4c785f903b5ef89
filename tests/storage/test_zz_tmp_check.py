import pytest
from typer.testing import CliRunner
from agent_runtime_nb.cli import app
@pytest.mark.timeout(300)
@pytest.mark.parametrize("server",["redis","postgres"])
def test_check(server,request):
    f=request.getfixturevalue(f"{server}_server"); url=f.url if server=="redis" else f.url()
    r=CliRunner().invoke(app,["storage","check",url]); print("\n".join(l for l in r.output.splitlines() if "passed" not in l[:20] or "," in l)[-3000:]); assert r.exit_code==0
