# What is changed in the start of Karpenter's kwok program. Its offers are given the Kubernetes client, as those of the
# controller itself are (pkg/operator/operator.go): without it no NodeOverlay is looked at.
/instancetype.NewDefaultProvider(/,/^\t)/s/^\t\tnil,$/\t\toperator.GetClient(),/
