# What is changed in Karpenter's core. It listens on every interface and has no setting for that.
s/Sprintf(":%d"/Sprintf("127.0.0.1:%d"/
