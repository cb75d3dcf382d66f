"""The policy pack (Pulumi CrossGuard): rules that every preview and update must keep."""
