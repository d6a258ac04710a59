module refundry.test/clients

go 1.19
