"""Reading IAM without the SDK's cost per call; where and how to connect is the SDK's to say."""
