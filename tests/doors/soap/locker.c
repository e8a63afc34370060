/* A client of the SOAP door that is not Python: gSOAP made its stubs from our WSDLs alone.

   locker BASE USER PASSWORD DEVICE lock|unlock|run

   Prints what it hears, a line each; a fault is printed with the typed detail and ends it with 3. `run` logs in, locks,
   asks for the details, unlocks and logs out. The session's id is sent in an HTTP header. */

#include <stdio.h>
#include <string.h>

#include "soapH.h"
#include "AdminMgmtIFServiceSoapBinding.nsmap"

static char admin_url[300], device_url[300], header[300];

static int told(struct soap *soap) {
    struct SOAP_ENV__Detail *detail = soap->fault ? soap->fault->detail : NULL;
    struct flt__AcmeWSFault *fault = NULL;
    const char *kind = "untyped";

    printf("fault %s\n", soap->fault && soap->fault->faultstring ? soap->fault->faultstring : "without a sentence");
    if (detail && detail->flt__AcmeDeviceWSFault) {
        kind = "AcmeDeviceWSFault";
        fault = detail->flt__AcmeDeviceWSFault;
    } else if (detail && detail->flt__AcmeAdminWSFault) {
        kind = "AcmeAdminWSFault";
        fault = detail->flt__AcmeAdminWSFault;
    }
    printf("typed %s\n", kind);
    if (fault) {
        printf("code %s\n", fault->code);
        if (fault->__sizeblockers > 0) printf("holder %s\n", fault->blockers[0].holder);
    }
    return 3;
}

static struct soap *call(struct soap *soap) {
    soap->http_extra_header = header;
    return soap;
}

static int lock(struct soap *soap, char *device) {
    struct _dev__lockDevice asked;
    struct _dev__lockDeviceResponse answer;
    memset(&asked, 0, sizeof asked);
    asked.targetName = device;
    if (soap_call___dev__lockDevice(call(soap), device_url, NULL, &asked, &answer)) return told(soap);
    printf("lock %d %s\n", *answer.return_->resultFlag, answer.return_->validationMessage[0]);
    return 0;
}

static int unlock(struct soap *soap, char *device) {
    struct _dev__unlockDevice asked;
    struct _dev__unlockDeviceResponse answer;
    memset(&asked, 0, sizeof asked);
    asked.targetName = device;
    if (soap_call___dev__unlockDevice(call(soap), device_url, NULL, &asked, &answer)) return told(soap);
    printf("unlock %d %s\n", *answer.return_->resultFlag, answer.return_->validationMessage[0]);
    return 0;
}

static int details(struct soap *soap, char *device) {
    struct _dev__getSBCDetails asked;
    struct _dev__getSBCDetailsResponse answer;
    memset(&asked, 0, sizeof asked);
    asked.targetName = device;
    if (soap_call___dev__getSBCDetails(call(soap), device_url, NULL, &asked, &answer)) return told(soap);
    printf("details %s in %s\n", answer.return_->targetName, answer.return_->domainName);
    return 0;
}

int main(int argc, char **argv) {
    struct soap *soap = soap_new1(SOAP_C_UTFSTRING);
    struct _adm__login asked;
    struct _adm__loginResponse answer;
    struct _adm__logOut nothing;
    struct _adm__logOutResponse ended;
    int failed = 0;

    if (argc != 6) return 2;
    snprintf(admin_url, sizeof admin_url, "%s/ACMEWS/services/AdminMgmtIF", argv[1]);
    snprintf(device_url, sizeof device_url, "%s/ACMEWS/services/DeviceMgmtIF", argv[1]);
    memset(&asked, 0, sizeof asked);
    asked.username = argv[2];
    asked.password = argv[3];
    if (soap_call___adm__login(soap, admin_url, NULL, &asked, &answer)) return told(soap);
    snprintf(header, sizeof header, "SID: %s", answer.return_);

    if (!strcmp(argv[5], "run")) {
        failed = lock(soap, argv[4]) || details(soap, argv[4]) || unlock(soap, argv[4]);
        memset(&nothing, 0, sizeof nothing);
        if (soap_call___adm__logOut(call(soap), admin_url, NULL, &nothing, &ended)) return told(soap);
        printf("logOut %d\n", *ended.return_->resultFlag);
    } else {
        failed = strcmp(argv[5], "lock") ? unlock(soap, argv[4]) : lock(soap, argv[4]);
    }
    soap_destroy(soap);
    soap_end(soap);
    soap_free(soap);
    return failed ? 3 : 0;
}
