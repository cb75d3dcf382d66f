"""`python -m rehearsal.plugins.aws`: the plugin's process."""

from rehearsal.plugins.aws.provider import AwsProvider
from rehearsal.plugins.protocol import serve

serve(AwsProvider())
